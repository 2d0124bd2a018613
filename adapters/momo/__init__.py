"""The MTN MoMo rail: pure modules that build and parse messages, and the client that sends them."""

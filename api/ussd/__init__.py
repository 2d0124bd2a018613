"""The USSD gateway: the telco's form protocol in, our own gRPC services out. No database, no core of its own."""

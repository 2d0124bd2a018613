"""The core: the books and what moves money through them. Knows no HTTP, no gRPC and no provider's name."""

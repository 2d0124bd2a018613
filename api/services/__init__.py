"""One gRPC service per file: convert, one ledger call, convert."""

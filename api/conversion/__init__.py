"""Between the wire and the ledger: protobuf messages to values and back, and nothing else."""

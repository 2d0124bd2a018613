"""A simulated MTN MoMo wallet: the documented wire at the documented paths, books of its own, faults on demand."""

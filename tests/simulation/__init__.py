"""A simulated world that tries to lose money: seeded histories of our real code among troubles, and their judge."""

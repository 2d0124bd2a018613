"""The journal: accounts, entries and the postings that move money between them."""

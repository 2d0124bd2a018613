"""The `daftari` command line, a module per noun. Each command opens what it needs, does one thing, prints a table."""

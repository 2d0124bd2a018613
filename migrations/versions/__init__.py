"""One module per revision, named by effect."""

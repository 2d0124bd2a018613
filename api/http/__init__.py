"""What the outside world reaches over HTTP: provider callbacks and health."""

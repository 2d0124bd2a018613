"""What a simulation in one process cannot show: cut connections, crashed servers, killed processes, racing threads."""

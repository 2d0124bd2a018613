"""The surface: gRPC services, the HTTP edge, processes and their wiring. Decides nothing about money."""

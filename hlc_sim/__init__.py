"""The simulator: sockets, modems, vehicles and chargers around the `iso15118` package."""

"""Sockets on trio: SDP over UDP multicast, TCP, TLS, and the message link on top."""

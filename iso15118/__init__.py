"""ISO 15118-20, sans-I/O: messages, EXI, framing, sessions, SLAC and security rules; bytes in, messages out."""

"""Trust: the TLS profiles as data, certificate chain rules, signatures, contract key wrapping. No I/O."""

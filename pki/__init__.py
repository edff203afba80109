"""V2G certificate hierarchies: minted, inspected, and broken on purpose."""

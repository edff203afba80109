"""The powerline: HomePlug Green PHY modems through scapy, and a simulated powerline of modems.

Importing this package does not import scapy; ``hlc_sim.powerline.layers`` does.
"""

"""Where a peer is, as far as its address can tell: coarse, derived from the IP, and honest about the rest."""

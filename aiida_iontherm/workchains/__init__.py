"""AiiDA work chains, one module each, and the protocols that fill them in."""

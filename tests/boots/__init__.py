"""Real boots: the installed service under a real systemd. `make service-check`; needs root, systemd-container and mmdebstrap."""

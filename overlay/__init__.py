"""The streaming overlay: bootstrapper, nodes, source and player, whose viewers the pipeline measures."""

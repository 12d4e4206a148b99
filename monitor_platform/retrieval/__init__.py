"""What the feedback servers have, brought here: fetched once, verified, mirrored byte for byte, handed to the measures."""

"""Formats in which end hosts report. Each dialect turns the bytes of a body into checked messages, without input or output."""

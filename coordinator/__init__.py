"""Takes feedback messages in, answers when they are durable, and places them on feedback servers."""

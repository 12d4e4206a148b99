"""What is played: content ladders with their server, the stream of an overlay, and Twitch."""

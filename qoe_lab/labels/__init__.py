"""From the events of a client, and the requests that its server saw, to the labels of a session and of each second."""

"""What the commands print: safe for every terminal, readable in every locale."""

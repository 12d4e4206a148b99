"""What the records say: one table of feedback, and each measure defined once for live and recorded data alike."""

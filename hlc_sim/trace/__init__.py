"""What happened in a run: recorded, read from any capture, shown, compared, replayed, judged and reported."""

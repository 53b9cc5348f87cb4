"""What is said of a compiled program: agreement, cost, places, as text and as a page."""

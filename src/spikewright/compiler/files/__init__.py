"""Programs as text and in files, and back."""

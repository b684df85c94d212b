"""Videos and ultrasound series, the sum of a background of low rank and of what moves."""

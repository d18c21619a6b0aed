"""What Tidegate costs, measured beside its peers."""

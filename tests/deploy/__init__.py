"""What deploy/ hands to other programs is what they take, and knows nothing that syncd doesn't."""

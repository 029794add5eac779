"""What look_at looks at: structures, labels, and labels that do not fit each other."""

"""What would other rules have sent: a piece of the log folded again, beside what was sent."""

"""P6 as a table: whatever a receiver does, and whenever the monitor is killed, one incident is one event with one id."""

"""AiiDA CalcJobs with their parsers, one module per task, and the calcfunctions."""

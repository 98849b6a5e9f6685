"""What end-to-end tests use to run Forebay for real: processes, cells, mounts, object stores, and known bytes."""

"""What a run did: its figures, its terminal form, its folder of artifacts."""

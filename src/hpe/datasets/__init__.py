"""Public datasets: their files on disk become a stream of Samples, one file per dataset."""

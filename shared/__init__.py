"""What has one right answer in any framework: math, data, seeds, files, pictures."""

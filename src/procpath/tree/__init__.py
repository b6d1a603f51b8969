"""Work on whole trees over held directories: scanning, walking and matching, copying, removing."""

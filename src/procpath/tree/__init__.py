"""Work on whole trees over held directories: walking and matching, copying, removing."""

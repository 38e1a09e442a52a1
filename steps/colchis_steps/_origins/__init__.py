"""Where a version comes from and how two of them differ, as text or a page, and the frame that pages share."""

"""SavedModel → other formats, each compared with the SavedModel."""

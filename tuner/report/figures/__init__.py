"""One module for each part of the page: from the study's material to charts, tables and the words beside them."""

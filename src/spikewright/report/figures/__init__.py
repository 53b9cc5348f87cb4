"""One kind of figure a file; each returns Plotly figures and the caption that explains them."""

"""Make synthetic images: plan them, generate them, check them."""

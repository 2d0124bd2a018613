"""What finance asks of the books and products together: ages, forecasts, partners' statements, days. Only reads."""

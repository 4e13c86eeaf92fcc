"""A row of the payments model for those who read bodies by pydantic."""

from pydantic import BaseModel


class Payment(BaseModel):
    amount: float
    customer_age: int | None
    account_age_days: int
    payments_last_24h: int
    minutes_since_last: float | None
    merchant_category: str
    country: str
    channel: str

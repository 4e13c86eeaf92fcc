"""Did a model get as many rows as it usually gets at this time?"""
